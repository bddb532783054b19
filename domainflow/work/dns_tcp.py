"""One DNS question over TCP (RFC 7766): what is asked when an answer did not fit into a datagram."""

import asyncio


async def ask_over_tcp(host: str, port: int, query: bytes) -> bytes:
    """The message that answers. Raises OSError or EOFError when the connection fails; time-outs are the caller's."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(len(query).to_bytes(2, "big") + query)
        length = int.from_bytes(await reader.readexactly(2), "big")
        return await reader.readexactly(length)
    finally:
        writer.close()
