package egress

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"selfhost/libtengo/internal/frame"
)

func policy(t *testing.T, configured frame.Egress) *Policy {
	t.Helper()
	p, err := New(configured)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func everything() frame.EgressRules {
	return frame.EgressRules{Networks: []string{"public", "private", "loopback", "0.0.0.0/0", "::/0"}}
}

// reason is why a call is refused, or nothing.
func reason(t *testing.T, err error) string {
	t.Helper()
	var refusal *Refusal
	if err != nil && !errors.As(err, &refusal) {
		t.Fatalf("%v is not a refusal", err)
	}
	if refusal == nil {
		return ""
	}
	return refusal.Reason
}

func TestAnAddressBelongsToOneClassOrNone(t *testing.T) {
	classes := map[string]string{
		"public": `1.1.1.1 8.8.8.8 172.15.0.1 172.32.0.1 100.63.0.1 100.128.0.1 192.0.1.1 11.0.0.1 126.0.0.1 223.255.255.255
			2606:4700::1111 2a00::1 64:ff9b::8.8.8.8 2002:808:808::1 ::ffff:8.8.8.8 ::8.8.8.8`,
		"private": `10.0.0.1 10.255.255.255 172.16.0.1 172.31.255.255 192.168.1.1 100.64.0.1 100.127.255.255
			fc00::1 fd12:3456::1 ::ffff:10.0.0.1 ::10.0.0.1 64:ff9b::10.0.0.1 2002:a00:1::1`,
		"loopback": "127.0.0.1 127.255.255.255 ::1 ::ffff:127.0.0.1 ::127.0.0.1 64:ff9b::7f00:1 2002:7f00:1::",
		"reserved": `0.1.2.3 192.0.0.1 192.0.2.1 192.88.99.1 198.18.0.1 198.19.255.255 198.51.100.1 203.0.113.1 240.0.0.1
			255.255.255.254 2001:db8::1 2001::1 3fff::1 5f00::1 100::1 fec0::1 ::2 ::ffff:192.0.2.1 4000::1`,
	}
	for class, addresses := range classes {
		for _, only := range []string{"public", "private", "loopback"} {
			p := policy(t, frame.Egress{Allow: frame.EgressRules{Networks: []string{only}}})
			for _, address := range strings.Fields(addresses) {
				want := class + " addresses are not among egress.allow.networks"
				if only == class {
					want = ""
				}
				if got := reason(t, p.CheckAddress(netip.AddrPortFrom(netip.MustParseAddr(address), 80))); got != want {
					t.Errorf("%s with %s allowed: %q, not %q", address, only, got, want)
				}
			}
		}
	}
}

func TestSomeAddressesAreNeverAllowed(t *testing.T) {
	p := policy(t, frame.Egress{Allow: everything()})
	for class, addresses := range map[string]string{
		"link-local":  "169.254.0.1 169.254.170.2 fe80::1 fe80::1%lo febf::1 ::ffff:169.254.1.1 64:ff9b::169.254.1.1",
		"multicast":   "224.0.0.1 239.255.255.250 ff02::1 ::ffff:224.0.0.1",
		"unspecified": "0.0.0.0 :: ::ffff:0.0.0.0 64:ff9b:: 2002::1",
		"broadcast":   "255.255.255.255 ::ffff:255.255.255.255",
		"cloud metadata": `169.254.169.254 ::ffff:169.254.169.254 ::169.254.169.254 64:ff9b::a9fe:a9fe
			2002:a9fe:a9fe::1 100.100.100.200 168.63.129.16 ::ffff:168.63.129.16 192.0.0.192 fd00:ec2::254 fd20:ce::254
			fd00:c1::a9fe:a9fe fd00:42::42`,
	} {
		for _, address := range strings.Fields(addresses) {
			want := class + " addresses are never allowed"
			if got := reason(t, p.CheckAddress(netip.AddrPortFrom(netip.MustParseAddr(address), 80))); got != want {
				t.Errorf("%s: %q, not %q", address, got, want)
			}
		}
	}
}

func TestNetworksAreAllowedAndDenied(t *testing.T) {
	rows := []struct {
		allow, deny string
		address     string
		want        string
	}{
		{"", "", "8.8.8.8", ""},
		{"", "", "127.0.0.1", "loopback addresses are not among egress.allow.networks"},
		{"203.0.113.0/24", "", "203.0.113.7", ""},
		{"203.0.113.0/24", "", "8.8.8.8", "public addresses are not among egress.allow.networks"},
		{"10.1.2.3", "", "10.1.2.3", ""},
		{"10.1.2.3", "", "::ffff:10.1.2.3", ""},
		{"::ffff:10.1.2.0/120", "", "10.1.2.3", ""},
		{"10.1.2.3", "", "10.1.2.4", "private addresses are not among egress.allow.networks"},
		{"2001:db8::/32", "", "2001:db8::1", ""},
		{"private", "10.1.0.0/16", "10.1.2.3", "10.1.2.3 is within 10.1.0.0/16, which is among egress.deny.networks"},
		{"private", "10.1.0.0/16", "::ffff:10.1.2.3", "10.1.2.3 is within 10.1.0.0/16, which is among egress.deny.networks"},
		{"private", "10.1.0.0/16", "64:ff9b::10.1.2.3", "10.1.2.3 is within 10.1.0.0/16, which is among egress.deny.networks"},
		{"public", "64:ff9b::/96", "64:ff9b::8.8.8.8", "64:ff9b::808:808 is within 64:ff9b::/96, which is among egress.deny.networks"},
		{"private", "10.1.0.0/16", "10.2.2.3", ""},
		{"public private", "private", "10.2.2.3", "private addresses are among egress.deny.networks"},
	}
	for _, row := range rows {
		p := policy(t, frame.Egress{
			Allow: frame.EgressRules{Networks: strings.Fields(row.allow)},
			Deny:  frame.EgressRules{Networks: strings.Fields(row.deny)},
		})
		if got := reason(t, p.CheckAddress(netip.AddrPortFrom(netip.MustParseAddr(row.address), 80))); got != row.want {
			t.Errorf("%+v: %q", row, got)
		}
	}
}

func TestHostsAndPortsAreAllowedAndDenied(t *testing.T) {
	rows := []struct {
		allow, deny string
		host        string
		port        int
		want        string
	}{
		{"", "", "example.org", 80, ""},
		{"*", "", "example.org", 80, ""},
		{"example.org", "", "example.org", 80, ""},
		{"example.org", "", "EXAMPLE.org.", 80, ""},
		{"Example.Org.", "", "example.org", 80, ""},
		{"example.org", "", "www.example.org", 80, "host www.example.org is not among egress.allow.hosts"},
		{"*.example.org", "", "www.example.org", 80, ""},
		{"*.example.org", "", "a.b.example.org", 80, ""},
		{"*.example.org", "", "example.org", 80, "host example.org is not among egress.allow.hosts"},
		{"*.example.org", "", "evilexample.org", 80, "host evilexample.org is not among egress.allow.hosts"},
		{"*.example.org", "", ".example.org", 80, `".example.org" is not a host`},
		{"*.example.org", "", "example.org.evil.com", 80, "host example.org.evil.com is not among egress.allow.hosts"},
		{"*.example.org", "a.example.org", "a.example.org", 80, "host a.example.org is among egress.deny.hosts"},
		{"", "*", "example.org", 80, "host example.org is among egress.deny.hosts"},
		{"", "evil.example.org", "evil.example.org.", 80, "host evil.example.org is among egress.deny.hosts"},
		{"", "evil.example.org", "ｅvil.example.org", 80, "a host must be written in ASCII, so an international one in its form xn--…"},
		{"10.0.0.1", "", "10.0.0.1", 80, ""},
		{"10.0.0.1", "", "::1", 80, "host ::1 is not among egress.allow.hosts"},
		{"", "::1", "0:0::1", 80, "host ::1 is among egress.deny.hosts"},
		{"", "", "2130706433", 80, "host 2130706433 is a number, but no address in its usual form"},
		{"", "", "0x7f.1", 80, "host 0x7f.1 is a number, but no address in its usual form"},
		{"", "", "0x7f000001", 80, "host 0x7f000001 is a number, but no address in its usual form"},
		{"", "", "017700000001", 80, "host 017700000001 is a number, but no address in its usual form"},
		{"", "", "0177.0.0.1", 80, "host 0177.0.0.1 is a number, but no address in its usual form"},
		{"", "", "127.1", 80, "host 127.1 is a number, but no address in its usual form"},
		{"", "", "a.0X", 80, "host a.0x is a number, but no address in its usual form"},
		{"", "", "10.0.0.1:x", 80, `"10.0.0.1:x" is not a host`},
		{"", "", "", 80, `"" is not a host`},
		{"", "bad.example", "bad.example..", 80, `"bad.example." is not a host`},
		{"", "bad.example", "a..bad.example", 80, `"a..bad.example" is not a host`},
		{"443 8000-8100", "", "example.org", 443, ""},
		{"443 8000-8100", "", "example.org", 8050, ""},
		{"443 8000-8100", "", "example.org", 80, "port 80 is not among egress.allow.ports"},
		{"443 8000-8100", "8050", "example.org", 8050, "port 8050 is among egress.deny.ports"},
	}
	for _, row := range rows {
		p := policy(t, frame.Egress{Allow: hostsAndPorts(row.allow), Deny: hostsAndPorts(row.deny)})
		if got := reason(t, p.CheckHost(row.host, row.port)); got != row.want {
			t.Errorf("%+v: %q", row, got)
		}
	}
}

// hostsAndPorts reads patterns of hosts, and ports where they are numbers.
func hostsAndPorts(text string) (rules frame.EgressRules) {
	for _, each := range strings.Fields(text) {
		switch each {
		case "443":
			rules.Ports = append(rules.Ports, [2]int{443, 443})
		case "8050":
			rules.Ports = append(rules.Ports, [2]int{8050, 8050})
		case "8000-8100":
			rules.Ports = append(rules.Ports, [2]int{8000, 8100})
		default:
			rules.Hosts = append(rules.Hosts, each)
		}
	}
	return rules
}

func TestARefusalSaysWhatWasCalledAndWhy(t *testing.T) {
	p := policy(t, frame.Egress{Deny: frame.EgressRules{Hosts: []string{"evil.example.org"}}})
	for want, err := range map[string]error{
		"calling 127.0.0.1:8095 is not allowed: loopback addresses are not among egress.allow.networks": p.CheckAddress(netip.MustParseAddrPort("127.0.0.1:8095")),
		"calling [fe80::1]:80 is not allowed: link-local addresses are never allowed":                   p.CheckAddress(netip.MustParseAddrPort("[fe80::1]:80")),
		"calling evil.example.org:443 is not allowed: host evil.example.org is among egress.deny.hosts": p.CheckHost("evil.example.org", 443),
	} {
		if err == nil || err.Error() != want {
			t.Errorf("%v\n is not %s", err, want)
		}
	}
}

func TestRulesThatCannotBeReadAreRefused(t *testing.T) {
	for want, rules := range map[string]frame.EgressRules{
		`egress.allow.hosts: "a*" is neither a host, nor *.DOMAIN, nor *`:                                        {Hosts: []string{"a*"}},
		`egress.allow.hosts: "*." is neither a host, nor *.DOMAIN, nor *`:                                        {Hosts: []string{"*."}},
		`egress.allow.hosts: "" is neither a host, nor *.DOMAIN, nor *`:                                          {Hosts: []string{""}},
		`egress.allow.networks: "10.0.0.0/33" is neither public, private, loopback, nor an address or a network`: {Networks: []string{"10.0.0.0/33"}},
		`egress.allow.networks: "local" is neither public, private, loopback, nor an address or a network`:       {Networks: []string{"local"}},
		`egress.allow.ports: 0 to 80 are not ports`:                                                              {Ports: [][2]int{{0, 80}}},
		`egress.allow.ports: 90 to 80 are not ports`:                                                             {Ports: [][2]int{{90, 80}}},
	} {
		if _, err := New(frame.Egress{Allow: rules}); err == nil || err.Error() != want {
			t.Errorf("%v\n is not %s", err, want)
		}
	}
}
