package clients_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/roomspan/roomspan/test/internal/peer"
)

// TestHTTP is what options of the HTTP side mean to a client.
func TestHTTP(t *testing.T) {
	peer.Need(t, "node")
	files, err := filepath.Abs("../node/node_modules/socket.io/client-dist")
	if err != nil {
		t.Fatal(err)
	}
	p := peer.Start(t, peer.Build(t, "./test/testserver"), "-addr", "127.0.0.1:0", "-cookie", "-token", "sesame", "-ids", "test:",
		"-rate", "1", "-burst", "20", "-bundle", files)
	peer.Checks(t, 5*time.Minute, "http.mjs", "--url", p.URL(), "--files", files)
}

// balancer sends requests of a session to the node that made its id, and others to the first that is ready.
func balancer(t *testing.T, nodes map[string]*peer.Process, order ...string) *httptest.Server {
	t.Helper()
	transport := &http.Transport{}
	probe := &http.Client{Transport: transport, Timeout: 10 * time.Second}
	choose := func(r *http.Request) string {
		if sid := r.URL.Query().Get("sid"); sid != "" {
			prefix, _, _ := strings.Cut(sid, ":")
			return prefix
		}
		for _, name := range order {
			if res, err := probe.Get(nodes[name].URL() + "/ready"); err == nil {
				_ = res.Body.Close()
				if res.StatusCode == http.StatusOK {
					return name
				}
			}
		}
		return order[len(order)-1]
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			if u, err := url.Parse(nodes[choose(r.In)].URL()); err == nil {
				r.SetURL(u)
			}
		},
		Transport:    transport,
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	s := httptest.NewServer(proxy)
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		s.CloseClientConnections()
		s.Close()
	})
	return s
}

// TestDrain restarts a node under its clients: they come back on another one.
func TestDrain(t *testing.T) {
	peer.Need(t, "node")
	for _, transport := range []string{"polling", "websocket", "upgrade"} {
		t.Run(transport, func(t *testing.T) {
			nodes := make(map[string]*peer.Process)
			for _, name := range []string{"a", "b"} {
				nodes[name] = peer.Start(t, peer.Build(t, "./test/testserver"), "-addr", "127.0.0.1:0", "-ids", name+":", "-drain", "2s")
			}
			b := balancer(t, nodes, "a", "b")
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
			defer cancel()
			script := peer.Node(t, "drain.mjs", "--url", b.URL, "--transports", transport)
			for _, name := range []string{"connected", "come back"} {
				check, err := script.ReadCheck(ctx)
				if err != nil || check.Check != name || !check.OK {
					t.Fatalf("%s: %+v, %v", name, check, err)
				}
				if name == "connected" {
					go nodes["a"].Stop()
				}
			}
			if err := script.Wait(ctx); err != nil {
				t.Error(err)
			}
			if err := nodes["a"].Wait(ctx); err != nil {
				t.Errorf("the drained node: %v\n%s", err, nodes["a"].Stderr())
			}
		})
	}
}
