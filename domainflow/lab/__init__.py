"""A small internet on loopback, made from a seed: DNS and web servers whose every answer is known in advance.

For any name, what DNS says, which faults occur and what its page holds follow from (seed, lower-cased wire name) alone,
so the outcome of a whole campaign is computed by `expect.expected`, without the code under test. `process.Lab.start`
runs it beside the caller, `process.serve` until a signal. Nothing here is reached by production work but through the
ports in `lab.json`; nothing here leaves 127.0.0.0/8 (and ::1, where nobody listens).

Of all names (`resolving` = 0.18 unless told otherwise)::

    18 %     resolve: 90 % plainly, 4 % through a CNAME, 3 % after 20..40 ms, 2 % truncated over UDP (whole over TCP),
             1 % with AAAA only. One name in ten has an AAAA record (::1) beside its A records.
    72.6 %   NXDOMAIN            7.4 %    no data (NOANSWER)
    1.0 %    SERVFAIL            0.5 %    REFUSED
    0.33 %   FORMERR, or an answer section that cannot be read (half each)
    0.16 %   never an answer     0.08 %   an answer after 6 s

Of the names that resolve::

    16 %  many keywords          5 %  a keyword in the title         14 %  one or two in much text
    18.4 %  none that count      3 %  more than 50 KB                10 %  parked
     3 %  parked, with keywords  2 %  keywords and one parked phrase  4 %  redirect to /home
     2.5 %  to another host      1 %  https to http                   4 %  http only (port 443 refuses)
     5 %  404, 410, 500 or 503   3 %  both ports refuse              3.6 %  broken TLS (five kinds)
     1.8 %  redirects that end nowhere (a loop, a dead name, another scheme)
     1.5 %  slow (never a TLS hello, never an answer, never the rest)
     2.2 %  no HTTP to speak of (closed, another protocol, bad gzip, cut short), or more than 10 MB behind a gzip

Every name under `ph`, `vg` and `ws` resolves, each zone to one address with one parked page; so does every third-level
name under a tenth of the second-level domains (of four characters and more). Elsewhere a name whose first label has 32
characters or more does not exist, as nobody registers a random label: probes for wildcards meet no chance hit.

Half of the parked pages say so in their title and several times, half once in their text. Pages are 1 to 8 KB but for
the long ones; most are UTF-8, a fifth are windows-1252 or ISO-8859-1; 40 % come as gzip, 20 % in chunks. Only 127.0.1.x
serves both ports; 127.0.2.x refuses, 127.0.3.x serves http alone.

With `faults=False` everything answers at once and every page is a good one; with `resolving=0` nothing resolves.
"""
