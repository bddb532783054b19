"""DomainFlow embedded in a script: 300 names through all four phases, then the leads among them.

    python examples/embed_script.py [HOME]

It runs offline: the lab is a small internet on this machine, made from a seed. Everything is kept in HOME (else
DOMAINFLOW_HOME, else the user's data folder); run it again there, and it gets the next 300 names of the pattern.
"""

import sys
from pathlib import Path

from domainflow import CampaignSpec, Principal, Runtime, View
from domainflow.actors.campaign.events import BatchesAccounted, PhaseCompleted, PhaseStarted
from domainflow.export import rows
from domainflow.lab.process import Lab
from domainflow.spec import DnsPersona, HttpPersona, PatternSource
from domainflow.vocabulary import CampaignStatus, LeadStatus, PatternType

SPEC = CampaignSpec(
    name="embedded in a script",
    batch_size=50,
    source=PatternSource(
        pattern_type=PatternType.PREFIX,
        variable_length=3,
        character_set="abcdefghijklmnopqrstuvwxyz",
        constant="shop",
        tld="com",
        count=300,
    ),
    # "lab" in place of resolvers, ports and authorities. Without these two tables the campaign asks the real internet.
    dns=DnsPersona(resolvers=("lab",), query_timeout_s=0.5),
    http=HttpPersona(connect_ports="lab", trust="lab", allow_private=True, request_timeout_s=1.5),
    keywords=("gadget", "wholesale", "bargain", "discount", "warranty", "voucher", "clearance"),
)


def main() -> int:
    """Run one campaign and print what it found; 0 when it was completed."""
    home = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    alice = Principal(id="alice", roles=("operator",), tenant="acme")
    with Runtime.open(home=home) as runtime, Lab.start(runtime.home, seed=7):
        campaign = runtime.as_principal(alice).create_campaign(SPEC)
        campaign.start()
        for change in campaign.watch():
            match change.event:
                case PhaseStarted(phase=phase, total=total):
                    print(f"{phase}: {total} names")
                case BatchesAccounted(counts=counts):
                    print("  " + ", ".join(f"{outcome} {number}" for outcome, number in counts))
                case PhaseCompleted(phase=phase):
                    print(f"{phase} completed")
        view = campaign.view()
        print_leads(runtime, view)
    return 0 if view.status is CampaignStatus.COMPLETED else 1


def print_leads(runtime: Runtime, view: View) -> None:
    """Print the names that qualified, with what was found on their pages."""
    leads = 0
    for row in rows(runtime.store, view.id, tenant=view.tenant, home=runtime.home):
        if row.lead_status is LeadStatus.MATCH:
            leads += 1
            found = ", ".join(f"{keyword} {number}" for keyword, number in row.keywords)
            print(f"{row.score:.3f}  {row.domain}  {found}")
    print(f"campaign {view.id} is {view.status} with {leads} leads")


if __name__ == "__main__":
    sys.exit(main())
