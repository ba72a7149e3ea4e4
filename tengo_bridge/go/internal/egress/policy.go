// Package egress decides where the programs of an executor may call over HTTP, and dials no further than that.
//
// Hosts and ports are checked for each request and for each redirect, networks on the address that is dialled, so that
// neither a name that resolves to another address the next time nor a redirect gets around them. With a proxy it is
// the proxy that resolves names: hosts, ports and addresses written in a URL are still checked, but what a name means is
// the proxy's to judge.
package egress

import (
	"fmt"
	"net/netip"
	"strings"

	"selfhost/libtengo/internal/frame"
)

// Policy tells what may be called. New makes it.
type Policy struct {
	allow    rules
	deny     rules
	registry *registry
}

// rules are the patterns of one list, read.
type rules struct {
	hosts    []string // lower case, without a final dot
	networks networks
	ports    [][2]int
}

// Refusal tells why a call is not allowed; it is complete as a message.
type Refusal struct {
	Target string // host and port, or address and port
	Reason string
}

func (r *Refusal) Error() string {
	return fmt.Sprintf("calling %s is not allowed: %s", r.Target, r.Reason)
}

// New reads the rules. No hosts or ports in the list of what is allowed stand for all of them, no networks for the public
// ones. The error names the key of a pattern that cannot be read.
func New(configured frame.Egress) (*Policy, error) {
	allow, err := readRules("egress.allow", configured.Allow)
	if err != nil {
		return nil, err
	}
	deny, err := readRules("egress.deny", configured.Deny)
	if err != nil {
		return nil, err
	}
	if len(configured.Allow.Networks) == 0 {
		allow.networks = networks{classes: []string{public}}
	}
	return &Policy{allow, deny, newRegistry()}, nil
}

func readRules(key string, configured frame.EgressRules) (rules, error) {
	read := rules{ports: configured.Ports}
	for _, pattern := range configured.Hosts {
		if !validHostPattern(pattern) {
			return rules{}, fmt.Errorf("%s.hosts: %q is neither a host, nor *.DOMAIN, nor *", key, pattern)
		}
		read.hosts = append(read.hosts, canonicalHost(pattern))
	}
	for _, ports := range configured.Ports {
		if ports[0] < 1 || ports[0] > ports[1] || ports[1] > 65535 {
			return rules{}, fmt.Errorf("%s.ports: %d to %d are not ports", key, ports[0], ports[1])
		}
	}
	var err error
	if read.networks, err = readNetworks(configured.Networks); err != nil {
		return rules{}, fmt.Errorf("%s.networks: %w", key, err)
	}
	return read, nil
}

func validHostPattern(pattern string) bool {
	if pattern == "*" {
		return true
	}
	host := strings.TrimPrefix(pattern, "*.")
	return canonicalHost(host) != "" && !strings.ContainsAny(host, "*/@ ") && !strings.HasPrefix(host, ".")
}

// CheckHost judges a host as it is written in a URL, without brackets. The error is a *Refusal.
func (p *Policy) CheckHost(host string, port int) error {
	name := canonicalHost(host)
	refuse := func(format string, values ...any) error {
		return &Refusal{Target: target(host, port), Reason: fmt.Sprintf(format, values...)}
	}
	switch {
	case !ascii(name):
		return refuse("a host must be written in ASCII, so an international one in its form xn--…")
	case !hostOrAddress(name):
		return refuse("%q is not a host", name)
	case numberWithoutAddress(name):
		return refuse("host %s is a number, but no address in its usual form", name)
	case matchesHost(p.deny.hosts, name):
		return refuse("host %s is among egress.deny.hosts", name)
	case len(p.allow.hosts) > 0 && !matchesHost(p.allow.hosts, name):
		return refuse("host %s is not among egress.allow.hosts", name)
	case matchesPort(p.deny.ports, port):
		return refuse("port %d is among egress.deny.ports", port)
	case len(p.allow.ports) > 0 && !matchesPort(p.allow.ports, port):
		return refuse("port %d is not among egress.allow.ports", port)
	default:
		return nil
	}
}

// CheckAddress judges an address that is about to be dialled. The error is a *Refusal.
func (p *Policy) CheckAddress(address netip.AddrPort) error {
	if reason := p.refusedNetwork(address.Addr().WithZone("").Unmap()); reason != "" {
		return &Refusal{Target: address.String(), Reason: reason}
	}
	return nil
}

// refusedNetwork gives the reason, or nothing for an address that is allowed. What carries another address inside is
// allowed where that one is, and forbidden where either is.
func (p *Policy) refusedNetwork(address netip.Addr) string {
	meant := p.registry.meant(address)
	for _, each := range []netip.Addr{address, meant} {
		if class, never := p.registry.never(each); never {
			return class + " addresses are never allowed"
		}
		if pattern, found := p.deny.networks.match(each, p.registry.class(each)); found {
			return pattern.among(each) + " among egress.deny.networks"
		}
	}
	class := p.registry.class(meant)
	if _, found := p.allow.networks.match(meant, class); !found {
		return class + " addresses are not among egress.allow.networks"
	}
	return ""
}

func matchesHost(patterns []string, name string) bool {
	for _, pattern := range patterns {
		domain, wide := strings.CutPrefix(pattern, "*")
		if pattern == name || wide && strings.HasSuffix(name, domain) && len(name) > len(domain) {
			return true
		}
	}
	return false
}

func matchesPort(ranges [][2]int, port int) bool {
	for _, each := range ranges {
		if each[0] <= port && port <= each[1] {
			return true
		}
	}
	return false
}

// canonicalHost writes a host in the one way in which patterns are compared with it; an address too has many forms.
func canonicalHost(host string) string {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if address, err := netip.ParseAddr(host); err == nil {
		return address.WithZone("").String()
	}
	return host
}

// hostOrAddress tells a host from what only some parsers would take for one.
func hostOrAddress(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	emptyLabel := host == "" || host[0] == '.' || strings.Contains(host, "..") || strings.HasSuffix(host, ".")
	return !emptyLabel && !strings.ContainsAny(host, ":[]%/@\\ ")
}

// numberWithoutAddress tells hosts such as 2130706433, 0x7f.1 and 0177.0.0.1. Some resolvers, and so some proxies, take
// them for addresses.
func numberWithoutAddress(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return false
	}
	last := host[strings.LastIndexByte(host, '.')+1:]
	digits, hexadecimal := strings.CutPrefix(last, "0x")
	if hexadecimal {
		return strings.Trim(digits, "0123456789abcdef") == ""
	}
	return last != "" && strings.Trim(last, "0123456789") == ""
}

func ascii(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r > '~' })
}

func target(host string, port int) string {
	if strings.Contains(host, ":") {
		return fmt.Sprintf("[%s]:%d", host, port)
	}
	return fmt.Sprintf("%s:%d", host, port)
}
