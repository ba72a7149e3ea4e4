package egress

import (
	"context"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"selfhost/libtengo/internal/frame"
)

// world is a server, and a client that resolves every name as the test wants it.
type world struct {
	t      *testing.T
	server *httptest.Server
	client *http.Client
}

func loopbackToo() frame.Egress {
	return frame.Egress{Allow: frame.EgressRules{Networks: []string{"public", "loopback"}}}
}

// newWorld starts a server that redirects to where the query says, if it says so. Each look-up of a name takes the next of
// the answers, the last one over and over.
func newWorld(t *testing.T, configured frame.Egress, answers ...string) *world {
	t.Helper()
	w := &world{t: t, server: httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if to := r.URL.Query().Get("to"); to != "" {
			http.Redirect(w, r, to, http.StatusFound)
		}
		if r.URL.Path == "/from" {
			fmt.Fprint(w, r.RemoteAddr)
			return
		}
		fmt.Fprintf(w, "reached %s", r.Host)
	}))}
	t.Cleanup(w.server.Close)
	transport, err := newTransport(configured, 4, resolving(t, answers), nil)
	if err != nil {
		t.Fatal(err)
	}
	w.client = &http.Client{Transport: transport, Timeout: 10 * time.Second}
	t.Cleanup(w.client.CloseIdleConnections)
	return w
}

// get gives the answer, or the refusal without what Go says around it.
func (w *world) get(address string) string {
	w.t.Helper()
	address = strings.ReplaceAll(address, "PORT", w.port())
	response, err := w.client.Get(address)
	var refusal *Refusal
	if errors.As(err, &refusal) {
		return strings.ReplaceAll(refusal.Error(), w.port(), "PORT")
	}
	if err != nil {
		w.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return strings.ReplaceAll(string(body), w.port(), "PORT")
}

func (w *world) port() string {
	_, port, _ := net.SplitHostPort(w.server.Listener.Addr().String())
	return port
}

// resolving is a resolver that asks a server of DNS which knows one host of many addresses.
func resolving(t *testing.T, answers []string) *net.Resolver {
	t.Helper()
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.Close() })
	go serveNames(socket, answers)
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", socket.LocalAddr().String())
	}}
}

// serveNames answers questions for IPv4 addresses; those for IPv6 have none. An answer may be several addresses.
func serveNames(socket net.PacketConn, answers []string) {
	query := make([]byte, 1500)
	asked := 0
	for {
		n, from, err := socket.ReadFrom(query)
		if err != nil {
			return
		}
		question := query[12:n]
		end := strings.IndexByte(string(question), 0) + 5
		var addresses []string
		if binary.BigEndian.Uint16(question[end-4:]) == 1 && len(answers) > 0 {
			addresses = strings.Split(answers[min(asked, len(answers)-1)], " ")
			asked++
		}
		reply := append([]byte{query[0], query[1], 0x81, 0x80, 0, 1, 0, byte(len(addresses)), 0, 0, 0, 0}, question[:end]...)
		for _, address := range addresses {
			reply = append(reply, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4)
			reply = append(reply, netip.MustParseAddr(address).AsSlice()...)
		}
		if _, err := socket.WriteTo(reply, from); err != nil {
			return
		}
	}
}

func TestTheAddressThatIsDialledIsJudged(t *testing.T) {
	loopbackRefused := "calling 127.0.0.1:PORT is not allowed: loopback addresses are not among egress.allow.networks"
	w := newWorld(t, frame.Egress{}, "127.0.0.1")
	for address, want := range map[string]string{
		"http://127.0.0.1:PORT/":                  loopbackRefused,
		"http://localhost.example:PORT/":          loopbackRefused,
		"http://8.8.8.8@127.0.0.1:PORT/":          loopbackRefused,
		"http://8.8.8.8:80@127.0.0.1:PORT/":       loopbackRefused,
		"http://127.0.0.1:PORT#@8.8.8.8/":         loopbackRefused,
		"http://[::ffff:127.0.0.1]:PORT/":         loopbackRefused,
		"http://[::1]:PORT/":                      "calling [::1]:PORT is not allowed: loopback addresses are not among egress.allow.networks",
		"http://[::ffff:169.254.169.254]/":        "calling 169.254.169.254:80 is not allowed: cloud metadata addresses are never allowed",
		"http://169.254.169.254/latest/meta-data": "calling 169.254.169.254:80 is not allowed: cloud metadata addresses are never allowed",
		"http://0.0.0.0:PORT/":                    "calling 0.0.0.0:PORT is not allowed: unspecified addresses are never allowed",
		"http://[::]:PORT/":                       "calling [::]:PORT is not allowed: unspecified addresses are never allowed",
		"http://2130706433:PORT/":                 "calling 2130706433:PORT is not allowed: host 2130706433 is a number, but no address in its usual form",
		"http://0x7f.1:PORT/":                     "calling 0x7f.1:PORT is not allowed: host 0x7f.1 is a number, but no address in its usual form",
		"http://017700000001:PORT/":               "calling 017700000001:PORT is not allowed: host 017700000001 is a number, but no address in its usual form",
		"http://a.example:0/":                     "calling a.example:0 is not allowed: the port is not between 1 and 65535",
	} {
		if got := w.get(address); got != want {
			t.Errorf("%s\n gave %s\n  not %s", address, got, want)
		}
	}
	if got := w.get("http://localhost:PORT/"); !strings.HasSuffix(got, "loopback addresses are not among egress.allow.networks") {
		t.Errorf("localhost gave %s", got)
	}
}

func TestANameThatChangesItsAddressGetsNoFurther(t *testing.T) {
	w := newWorld(t, loopbackToo(), "127.0.0.1", "10.0.0.1", "169.254.169.254")
	for _, want := range []string{
		"reached changing.example:PORT",
		"calling 10.0.0.1:PORT is not allowed: private addresses are not among egress.allow.networks",
		"calling 169.254.169.254:PORT is not allowed: cloud metadata addresses are never allowed",
	} {
		if got := w.get("http://changing.example:PORT/"); got != want {
			t.Errorf("%s, not %s", got, want)
		}
		w.client.CloseIdleConnections()
	}
}

func TestOfSeveralAddressesOnlyTheAllowedAreDialled(t *testing.T) {
	w := newWorld(t, frame.Egress{Allow: frame.EgressRules{Networks: []string{"loopback"}}}, "10.0.0.1 169.254.169.254 127.0.0.1")
	if got := w.get("http://many.example:PORT/"); got != "reached many.example:PORT" {
		t.Error(got)
	}
}

func TestRedirectsAreJudgedLikeFirstRequests(t *testing.T) {
	configured := loopbackToo()
	configured.Deny = frame.EgressRules{Hosts: []string{"denied.example", "::1"}, Ports: [][2]int{{1, 1}}}
	w := newWorld(t, configured, "127.0.0.1")
	for to, want := range map[string]string{
		"http://b.example:PORT/":               "reached b.example:PORT",
		"http://denied.example:PORT/":          "calling denied.example:PORT is not allowed: host denied.example is among egress.deny.hosts",
		"http://b.example:1/":                  "calling b.example:1 is not allowed: port 1 is among egress.deny.ports",
		"//169.254.169.254/":                   "calling 169.254.169.254:80 is not allowed: cloud metadata addresses are never allowed",
		"http://[::ffff:10.0.0.1]/":            "calling 10.0.0.1:80 is not allowed: private addresses are not among egress.allow.networks",
		"http://[0::1]:PORT/":                  "calling [0::1]:PORT is not allowed: host ::1 is among egress.deny.hosts",
		"http://a.example:PORT/?to=//c.d:PORT": "reached c.d:PORT",
	} {
		to = strings.ReplaceAll(to, "PORT", w.port())
		if got := w.get("http://a.example:PORT/?to=" + url.QueryEscape(to)); got != want {
			t.Errorf("to %s\n gave %s\n  not %s", to, got, want)
		}
	}
}

func TestAnIdleConnectionLetsNothingIn(t *testing.T) {
	configured := loopbackToo()
	configured.Deny.Hosts = []string{"denied.example"}
	w := newWorld(t, configured, "127.0.0.1")
	for range 2 {
		if got := w.get("http://a.example:PORT/"); got != "reached a.example:PORT" {
			t.Error(got)
		}
	}
	if got := w.get("http://denied.example:PORT/"); !strings.Contains(got, "egress.deny.hosts") {
		t.Error(got)
	}
}

func TestConnectionsAreKept(t *testing.T) {
	w := newWorld(t, loopbackToo(), "127.0.0.1")
	first := w.get("http://127.0.0.1:PORT/from")
	if second := w.get("http://127.0.0.1:PORT/from"); first != second {
		t.Errorf("the first request came from %s, the second from %s", first, second)
	}
}

func TestConfiguredAuthoritiesAreTrusted(t *testing.T) {
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	configured := loopbackToo()
	trusts := func() error {
		transport, err := newTransport(configured, 1, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer transport.CloseIdleConnections()
		response, err := (&http.Client{Transport: transport}).Get(server.URL)
		if err == nil {
			response.Body.Close()
		}
		return err
	}
	if err := trusts(); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("without: %v", err)
	}
	configured.CertificatesPEM = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	if err := trusts(); err != nil {
		t.Errorf("with: %v", err)
	}
}

func TestCertificatesThatAreNoneAreRefused(t *testing.T) {
	_, err := NewTransport(frame.Egress{CertificatesPEM: "none"}, 1)
	if err == nil || err.Error() != "egress.certificates holds no certificate in PEM form" {
		t.Error(err)
	}
}

// proxied is a client that must use a proxy, which tells what it was asked for.
func proxied(t *testing.T, configured frame.Egress) *http.Client {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodConnect {
			http.Error(w, "not today", http.StatusTeapot)
			return
		}
		fmt.Fprintf(w, "proxy was asked for %s", r.RequestURI)
	}))
	t.Cleanup(server.Close)
	proxy, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	configured.Proxy = true
	transport, err := newTransport(configured, 1, &net.Resolver{}, func(request *http.Request) (*url.URL, error) {
		if request.URL.Hostname() == proxy.Hostname() {
			return nil, nil // as a variable NO_PROXY would say
		}
		return proxy, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func TestAProxyIsAskedOnlyForWhatIsAllowed(t *testing.T) {
	client := proxied(t, frame.Egress{Deny: frame.EgressRules{Hosts: []string{"denied.example"}}})
	for _, row := range []struct{ url, host, want string }{
		{"http://a.example/b?c", "", "proxy was asked for http://a.example/b?c"},
		{"https://a.example/", "", "I'm a teapot"},
		{"http://denied.example/", "", "host denied.example is among egress.deny.hosts"},
		{"http://a.example/", "denied.example", "host denied.example is among egress.deny.hosts"},
		{"http://a.example/", "10.0.0.1", "calling 10.0.0.1:80 is not allowed: private addresses"},
		{"http://a.example/", "10.0.0.1:x", `"10.0.0.1:x" is not a host`},
		{"http://10.0.0.1/", "", "calling 10.0.0.1:80 is not allowed: private addresses"},
		{"http://[::ffff:169.254.169.254]/", "", "cloud metadata addresses are never allowed"},
		{"https://[64:ff9b::a00:1]/", "", "private addresses"},
		{"http://2130706433/", "", "host 2130706433 is a number"},
	} {
		request, err := http.NewRequest(http.MethodGet, row.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Host = row.host
		if got := outcome(client.Do(request)); !strings.Contains(got, row.want) {
			t.Errorf("%+v: %s", row, got)
		}
	}
}

func TestTheAddressOfAProxyIsNoBusinessOfPrograms(t *testing.T) {
	transport, err := newTransport(frame.Egress{Proxy: true}, 1, nil, func(*http.Request) (*url.URL, error) {
		return url.Parse("http://me:verysecret@[")
	})
	if err != nil {
		t.Fatal(err)
	}
	got := outcome((&http.Client{Transport: transport}).Get("http://a.example/"))
	if got != `Get "http://a.example/": the address of the proxy cannot be read (egress.proxy)` {
		t.Error(got)
	}
}

func TestWhatGoesAroundTheProxyIsJudgedWhenDialled(t *testing.T) {
	client := proxied(t, frame.Egress{})
	proxy, err := client.Transport.(*Transport).proxy(&http.Request{URL: &url.URL{}})
	if err != nil {
		t.Fatal(err)
	}
	if got := outcome(client.Get(proxy.String())); !strings.Contains(got, "loopback addresses are not among") {
		t.Error(got)
	}
}

func outcome(response *http.Response, err error) string {
	if err != nil {
		return err.Error()
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err.Error()
	}
	return string(body)
}
