package egress

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"syscall"
	"time"

	"selfhost/libtengo/internal/frame"
)

// maxHeaderBytes bounds the headers of an answer.
const maxHeaderBytes = 256 << 10

// Transport performs HTTP requests as far as the policy allows them; the error of one that it does not is a *Refusal,
// maybe wrapped. It keeps connections for later requests, which are judged all the same.
type Transport struct {
	policy  *Policy
	direct  *http.Transport
	proxied *http.Transport // dials nothing but proxies
	proxy   Proxy
}

// Proxy gives the proxy for a request, or nil for none, like http.ProxyFromEnvironment.
type Proxy func(*http.Request) (*url.URL, error)

// NewTransport makes what the executor calls with, at most so many connections to a host. The error tells which rule, or
// which certificate, cannot be read.
func NewTransport(configured frame.Egress, connections int) (*Transport, error) {
	return newTransport(configured, connections, &net.Resolver{PreferGo: true}, http.ProxyFromEnvironment)
}

// newTransport takes what tests replace. The resolver is Go's own, since each look-up by the C library would take a
// thread with megabytes of stack.
func newTransport(configured frame.Egress, connections int, resolver *net.Resolver, proxy Proxy) (*Transport, error) {
	policy, err := New(configured)
	if err != nil {
		return nil, err
	}
	trusted, err := authorities(configured.CertificatesPEM)
	if err != nil {
		return nil, err
	}
	if !configured.Proxy {
		proxy = noProxy
	}
	toProxy := &net.Dialer{Timeout: 10 * time.Second, Resolver: resolver}
	guarded := &net.Dialer{Timeout: 10 * time.Second, Resolver: resolver, ControlContext: policy.control}
	t := &Transport{
		policy:  policy,
		direct:  plainTransport(guarded, trusted, connections),
		proxied: plainTransport(toProxy, trusted, connections),
		proxy:   proxy,
	}
	t.proxied.Proxy = proxy
	return t, nil
}

func plainTransport(dialer *net.Dialer, trusted *x509.CertPool, connections int) *http.Transport {
	return &http.Transport{
		DialContext:            dialer.DialContext,
		TLSClientConfig:        &tls.Config{RootCAs: trusted},
		ForceAttemptHTTP2:      true,
		MaxIdleConns:           32,
		MaxIdleConnsPerHost:    8,
		MaxConnsPerHost:        connections,
		IdleConnTimeout:        30 * time.Second,
		TLSHandshakeTimeout:    10 * time.Second,
		MaxResponseHeaderBytes: maxHeaderBytes,
	}
}

// authorities gives those of the machine and the configured ones; nil stands for the machine's.
func authorities(certificatesPEM string) (*x509.CertPool, error) {
	if certificatesPEM == "" {
		return nil, nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		return nil, err
	}
	if !pool.AppendCertsFromPEM([]byte(certificatesPEM)) {
		return nil, errors.New("egress.certificates holds no certificate in PEM form")
	}
	return pool, nil
}

func noProxy(*http.Request) (*url.URL, error) {
	return nil, nil
}

// control is asked for each address that is about to be dialled, after names have been resolved.
func (p *Policy) control(_ context.Context, _, address string, _ syscall.RawConn) error {
	dialled, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	return p.CheckAddress(dialled)
}

// RoundTrip performs one request, without following redirects.
func (t *Transport) RoundTrip(request *http.Request) (*http.Response, error) {
	if err := t.policy.checkAuthority(request.URL.Host, request.URL.Scheme); err != nil {
		return nil, err
	}
	proxy, err := t.proxy(request)
	if err != nil {
		// Without the error's own words, in which the proxy's address may hold a password.
		return nil, errors.New("the address of the proxy cannot be read (egress.proxy)")
	}
	if proxy == nil {
		return t.direct.RoundTrip(request)
	}
	if err := t.checkProxied(request); err != nil {
		return nil, err
	}
	return t.proxied.RoundTrip(request)
}

// checkProxied judges where a proxy is told to call: for plain HTTP that is what the Host header says, which the program
// may have set.
func (t *Transport) checkProxied(request *http.Request) error {
	for _, authority := range []string{request.URL.Host, request.Host} {
		if authority == "" {
			continue
		}
		if err := t.policy.checkAuthority(authority, request.URL.Scheme); err != nil {
			return err
		}
		if err := t.policy.checkLiteral(authority, request.URL.Scheme); err != nil {
			return err
		}
	}
	return nil
}

// CloseIdleConnections closes the connections that no request is using.
func (t *Transport) CloseIdleConnections() {
	t.direct.CloseIdleConnections()
	t.proxied.CloseIdleConnections()
}

func (p *Policy) checkAuthority(authority, scheme string) error {
	host, port, err := splitAuthority(authority, scheme)
	if err != nil {
		return err
	}
	return p.CheckHost(host, port)
}

// checkLiteral judges a host that is an address.
func (p *Policy) checkLiteral(authority, scheme string) error {
	host, port, err := splitAuthority(authority, scheme)
	if err != nil {
		return err
	}
	address, err := netip.ParseAddr(canonicalHost(host))
	if err != nil {
		return nil // a name, which the proxy resolves
	}
	return p.CheckAddress(netip.AddrPortFrom(address, uint16(port)))
}

// splitAuthority gives the host, without brackets, and the port, which the scheme implies if it is not written.
func splitAuthority(authority, scheme string) (host string, port int, err error) {
	parts := url.URL{Host: authority}
	host = parts.Hostname()
	switch text := parts.Port(); {
	case text != "":
		port, err = strconv.Atoi(text)
	case scheme == "https":
		port = 443
	default:
		port = 80
	}
	if err != nil || port < 1 || port > 65535 {
		return "", 0, &Refusal{Target: authority, Reason: "the port is not between 1 and 65535"}
	}
	return host, port, nil
}
