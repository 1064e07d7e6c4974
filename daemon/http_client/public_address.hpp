// Is an address part of the public Internet? Others must not be reached through a URL that comes
// from outside.
#pragma once

struct sockaddr;

namespace export_worker::http {

// False for what IANA's special-purpose registries (RFC 6890 and its updates) reserve: loopback,
// private, shared, link-local, unique-local, multicast, documentation, benchmarks, unspecified, and
// IPv6 addresses that carry such an IPv4 address. Also false for other families.
[[nodiscard]] bool is_public_address(const sockaddr& address);

}  // namespace export_worker::http
