package bridge

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"
)

// answerTime is how long a server may be silent that has got a request. whatsmeow dials without a limit, and with its lock
// held: an account whose dial is not answered would be offline until it is closed.
var answerTime = time.Minute

// newHTTPClient makes the client of all traffic with WhatsApp: websocket, media, version.
//
// With an address, whatever host a URL names, the client dials that address and speaks no TLS: it can reach nothing
// else, neither the network nor a proxy that the environment names.
func newHTTPClient(options Options) (*http.Client, error) {
	dialer := &net.Dialer{Timeout: 20 * time.Second, KeepAlive: 15 * time.Second}
	if options.WhatsAppAddress != "" {
		if options.Proxy != "" || options.CAFile != "" {
			return nil, errors.New("an address of WhatsApp is dialled directly and without TLS: set no proxy and no CA file")
		}
		if _, _, err := net.SplitHostPort(options.WhatsAppAddress); err != nil {
			return nil, fmt.Errorf("address of WhatsApp: %w", err)
		}
		dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "tcp", options.WhatsAppAddress)
		}
		return &http.Client{Transport: checkedUploads{boundedAnswers{&http.Transport{
			DialContext: dial, DialTLSContext: dial, IdleConnTimeout: 30 * time.Second, ResponseHeaderTimeout: answerTime,
		}}}}, nil
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DialContext = dialer.DialContext
	transport.ResponseHeaderTimeout = answerTime
	if options.Proxy != "" {
		proxy, err := url.Parse(options.Proxy)
		if err != nil || proxy.Host == "" {
			return nil, errors.New("proxy: want a URL such as http://host:3128")
		}
		transport.Proxy = http.ProxyURL(proxy)
	}
	if options.CAFile != "" {
		roots, err := x509.SystemCertPool()
		if err != nil {
			return nil, fmt.Errorf("certificate authorities of this machine: %w", err)
		}
		pem, err := os.ReadFile(options.CAFile)
		if err != nil {
			return nil, fmt.Errorf("CA file: %w", err)
		}
		if !roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("CA file %s holds no certificate", options.CAFile)
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	}
	return &http.Client{Transport: checkedUploads{boundedAnswers{transport}}}, nil
}
