package egress

import (
	"fmt"
	"net/netip"
	"slices"
)

// The classes of addresses that rules can name. All others, kept for documentation, tests, protocols or the future, are in
// none of them and can only be allowed as networks.
const (
	public   = "public"
	private  = "private"
	loopback = "loopback"
	reserved = "reserved"
)

// networks are patterns for addresses.
type networks struct {
	classes  []string
	prefixes []netip.Prefix
}

// pattern is what has matched: a class or a network.
type pattern struct {
	class   string
	network netip.Prefix
}

func (p pattern) among(address netip.Addr) string {
	if p.class != "" {
		return p.class + " addresses are"
	}
	return fmt.Sprintf("%s is within %s, which is", address, p.network)
}

func readNetworks(patterns []string) (read networks, err error) {
	for _, each := range patterns {
		switch each {
		case public, private, loopback:
			read.classes = append(read.classes, each)
		default:
			prefix, err := readPrefix(each)
			if err != nil {
				return networks{}, err
			}
			read.prefixes = append(read.prefixes, prefix)
		}
	}
	return read, nil
}

func readPrefix(text string) (netip.Prefix, error) {
	if address, err := netip.ParseAddr(text); err == nil && address.Zone() == "" {
		address = address.Unmap()
		return netip.PrefixFrom(address, address.BitLen()), nil
	}
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%q is neither public, private, loopback, nor an address or a network", text)
	}
	if prefix.Addr().Is4In6() && prefix.Bits() >= 96 {
		prefix = netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-96)
	}
	return prefix.Masked(), nil
}

// match finds the pattern that holds an address of the class.
func (n networks) match(address netip.Addr, class string) (pattern, bool) {
	if slices.Contains(n.classes, class) {
		return pattern{class: class}, true
	}
	for _, prefix := range n.prefixes {
		if prefix.Contains(address) {
			return pattern{network: prefix}, true
		}
	}
	return pattern{}, false
}
