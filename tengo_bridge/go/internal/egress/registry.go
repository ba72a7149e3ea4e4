package egress

import (
	"net/netip"
	"slices"
)

// registry knows what addresses are for.
type registry struct {
	private       []netip.Prefix
	reserved      []netip.Prefix
	metadata      []netip.Prefix
	endingInIPv4  []netip.Prefix
	sixToFour     netip.Prefix
	globalUnicast netip.Prefix
	broadcast     netip.Addr
}

// newRegistry holds what IANA's registries of special-purpose addresses (RFC 6890 and its updates) say, and where clouds
// hand credentials to their machines.
func newRegistry() *registry {
	return &registry{
		private: prefixes("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"),
		reserved: prefixes(
			"0.0.0.0/8", "169.254.0.0/16", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15",
			"198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3",
			"2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
		),
		metadata: prefixes(
			"169.254.169.254/32",             // most clouds
			"100.100.100.200/32",             // Alibaba
			"168.63.129.16/32",               // Azure
			"192.0.0.192/32", "fd00:c1::/32", // Oracle
			"fd00:ec2::/32",   // Amazon
			"fd20:ce::/32",    // Google
			"fd00:42::42/128", // Scaleway
		),
		// IPv4-compatible addresses, and the well-known ones of NAT64. Its local ones, 64:ff9b:1::/48, hold an IPv4
		// address where their network decides, so that they are in no class.
		endingInIPv4:  prefixes("::/96", "64:ff9b::/96"),
		sixToFour:     netip.MustParsePrefix("2002::/16"),
		globalUnicast: netip.MustParsePrefix("2000::/3"),
		broadcast:     netip.AddrFrom4([4]byte{255, 255, 255, 255}),
	}
}

func prefixes(texts ...string) (list []netip.Prefix) {
	for _, text := range texts {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}

func within(address netip.Addr, prefixes []netip.Prefix) bool {
	return slices.ContainsFunc(prefixes, func(prefix netip.Prefix) bool { return prefix.Contains(address) })
}

func (r *registry) class(address netip.Addr) string {
	switch {
	case address.IsLoopback():
		return loopback
	case within(address, r.private):
		return private
	case within(address, r.reserved), address.Is6() && !r.globalUnicast.Contains(address):
		return reserved
	default:
		return public
	}
}

// never tells the addresses that no rule opens: beyond them is nothing but the machine itself, its neighbours on the
// wire, and the credentials that a cloud has for its machine.
func (r *registry) never(address netip.Addr) (class string, never bool) {
	switch {
	case within(address, r.metadata):
		return "cloud metadata", true
	case address.IsLinkLocalUnicast():
		return "link-local", true
	case address.IsMulticast():
		return "multicast", true
	case address.IsUnspecified():
		return "unspecified", true
	case address == r.broadcast:
		return "broadcast", true
	default:
		return "", false
	}
}

// meant gives the IPv4 address to which a translator or a tunnel passes on what is sent to an IPv6 address; all others
// mean themselves.
func (r *registry) meant(address netip.Addr) netip.Addr {
	bytes := address.As16()
	switch {
	case address.Is4(), address.IsLoopback(), address.IsUnspecified():
		return address
	case within(address, r.endingInIPv4):
		return netip.AddrFrom4([4]byte(bytes[12:16]))
	case r.sixToFour.Contains(address):
		return netip.AddrFrom4([4]byte(bytes[2:6]))
	default:
		return address
	}
}
