//go:build unix

package redis_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/redis"
)

// families are the options by which the families are chosen.
var families = []struct {
	name string
	opts []redis.Option
}{
	{"pubsub", nil},
	{"rooms", []redis.Option{redis.WithRoomSubscriptions(), redis.WithTimes(0, 0)}},
	{"sharded", []redis.Option{redis.WithSharded(redis.Dynamic), redis.WithTimes(0, 0)}},
}

// eachFamily runs a test for every family. Those that share a Redis have keys
// of their own.
func eachFamily(t *testing.T, test func(t *testing.T, opts []redis.Option)) {
	t.Helper()
	for _, f := range families {
		t.Run(f.name, func(t *testing.T) { test(t, append([]redis.Option{redis.WithKey(t.Name())}, f.opts...)) })
	}
}

// converse lets two nodes do everything that goes over Redis.
func converse(t *testing.T, a, b *node) {
	t.Helper()
	a.ready()
	b.ready()
	everything(t, a)
	b.wait(`["all"]`, `["room"]`, `["asked"]`, `server:["event"]`, `server:["question"]`)
}

func everything(t *testing.T, n *node) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	n.emit(`["all"]`)
	n.emit(`["room"]`, "room")
	sockets, err := n.adapter.FetchSockets(ctx, adapter.Selector{})
	if err != nil || len(sockets) != 2 {
		t.Errorf("%d sockets, %v", len(sockets), err)
	}
	answers, err := n.adapter.BroadcastWithAck(ctx, &adapter.Packet{Args: []byte(`["asked"]`)}, adapter.Selector{}, adapter.Flags{})
	if err != nil || len(answers) != 2 {
		t.Errorf("%d answers, %v", len(answers), err)
	}
	if err := n.adapter.ServerSideEmit(&adapter.Packet{Args: []byte(`["event"]`)}); err != nil {
		t.Error(err)
	}
	answers, err = n.adapter.ServerSideEmitWithAck(ctx, &adapter.Packet{Args: []byte(`["question"]`)})
	if err != nil || len(answers) != 1 {
		t.Errorf("%d answers, %v", len(answers), err)
	}
	if count, err := n.adapter.ServerCount(ctx); count != 2 || err != nil {
		t.Errorf("%d nodes, %v", count, err)
	}
}

// pair starts two nodes, each with a socket in "room".
func pair(t *testing.T, url string, opts ...redis.Option) (a, b *node) {
	t.Helper()
	room := nodeOptions{rooms: []string{"room"}}
	return start(t, redis.New(url, opts...), room), start(t, redis.New(url, opts...), room)
}

func TestUnixSocket(t *testing.T) {
	dir, err := os.MkdirTemp("", "redis") // that of the test is too long a name
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "s")
	runProcessAs(t, func(p *process) {
		p.args = []string{"--port", "0", "--unixsocket", path}
		p.probe = &goredis.Options{Network: "unix", Addr: path}
	})
	eachFamily(t, func(t *testing.T, opts []redis.Option) {
		a, b := pair(t, "unix://"+path, opts...)
		converse(t, a, b)
	})
}

// authority makes certificates.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	last int64
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t}
	a.key = a.newKey()
	a.cert = a.sign(&x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, a.key, nil)
	return a
}

func (a *authority) newKey() *ecdsa.PrivateKey {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	return key
}

func (a *authority) sign(template *x509.Certificate, key *ecdsa.PrivateKey, parent *x509.Certificate) *x509.Certificate {
	a.t.Helper()
	a.last++
	template.SerialNumber, template.Subject = big.NewInt(a.last), pkix.Name{CommonName: fmt.Sprint("test ", a.last)}
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert
}

// issue returns a certificate for 127.0.0.1, for servers and clients.
func (a *authority) issue() tls.Certificate {
	a.t.Helper()
	key := a.newKey()
	cert := a.sign(&x509.Certificate{
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, key, a.cert)
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}
}

// write puts a certificate and its key into files.
func (a *authority) write(dir string, c tls.Certificate) (cert, key string) {
	a.t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for name, block := range map[string]*pem.Block{
		cert:                         {Type: "CERTIFICATE", Bytes: c.Certificate[0]},
		key:                          {Type: "PRIVATE KEY", Bytes: der},
		filepath.Join(dir, "ca.pem"): {Type: "CERTIFICATE", Bytes: a.cert.Raw},
	} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			a.t.Fatal(err)
		}
	}
	return cert, key
}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// runTLS starts a Redis that wants certificates of its clients, and returns
// what they need.
func runTLS(t *testing.T, args ...string) (*process, *authority, *tls.Config) {
	t.Helper()
	ca := newAuthority(t)
	dir := t.TempDir()
	cert, key := ca.write(dir, ca.issue())
	config := &tls.Config{RootCAs: ca.pool(), Certificates: []tls.Certificate{ca.issue()}}
	r := runProcessAs(t, func(p *process) {
		p.args = append([]string{"--port", "0", "--tls-port", strconv.Itoa(p.port), "--tls-cert-file", cert, "--tls-key-file", key,
			"--tls-ca-cert-file", filepath.Join(dir, "ca.pem"), "--tls-auth-clients", "yes"}, args...)
		p.probe = &goredis.Options{Addr: p.addr(), TLSConfig: config.Clone()}
	})
	return r, ca, config
}

func TestTLS(t *testing.T) {
	r, ca, config := runTLS(t)
	url := "rediss://" + r.addr()
	eachFamily(t, func(t *testing.T, opts []redis.Option) {
		a, b := pair(t, url, append(opts, redis.WithTLS(config))...)
		converse(t, a, b)
	})
	for name, wrong := range map[string]*tls.Config{
		"unknown authority": nil,
		"no certificate":    {RootCAs: ca.pool()},
		"another name":      {RootCAs: ca.pool(), ServerName: "redis.example", Certificates: config.Certificates},
	} {
		t.Run(name, func(t *testing.T) {
			n := start(t, redis.New(url, redis.WithTLS(wrong)), nodeOptions{})
			checkRefused(t, n, "certificate")
		})
	}
}

// checkRefused waits until a node knows that it cannot connect, and why.
func checkRefused(t *testing.T, n *node, why string) {
	t.Helper()
	eventually(t, "the node says why it cannot connect", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		err := n.backend.Ready(ctx)
		return err != nil && strings.Contains(err.Error(), why)
	})
	n.emit(`["local"]`)
	n.wait(`["local"]`)
	if c := n.log.count("cannot connect"); c != 1 || n.log.count("\n") != 1 {
		t.Errorf("log:\n%s", n.log)
	}
}

// TestPasswordRefused holds that a node works alone as long as Redis does not
// know it, and joins the others by itself.
func TestPasswordRefused(t *testing.T) {
	eachFamily(t, func(t *testing.T, opts []redis.Option) {
		r := runProcess(t)
		a, b := pair(t, "redis://late:comer@"+r.addr(), opts...)
		checkRefused(t, a, "WRONGPASS")
		checkRefused(t, b, "WRONGPASS")
		client := goredis.NewClient(&goredis.Options{Addr: r.addr()})
		defer client.Close()
		if err := client.Do(t.Context(), "acl", "setuser", "late", "on", ">comer", "allcommands", "allchannels").Err(); err != nil {
			t.Fatal(err)
		}
		a.ready()
		b.ready()
		// One of the two may have been there first, and sent its backlog.
		a.emit(`["now"]`)
		b.wait(`["now"]`)
	})
}

// TestFullMemory holds that Pub/Sub needs no memory of the data set.
func TestFullMemory(t *testing.T) {
	r := runProcess(t, "--maxmemory", "3mb", "--maxmemory-policy", "noeviction")
	client := goredis.NewClient(&goredis.Options{Addr: r.addr()})
	defer client.Close()
	value := strings.Repeat("x", 1<<16)
	for i := 0; ; i++ {
		if err := client.Set(t.Context(), fmt.Sprint("key", i), value, 0).Err(); err != nil {
			if !strings.HasPrefix(err.Error(), "OOM") || i > 1000 {
				t.Fatal(err)
			}
			break
		}
	}
	eachFamily(t, func(t *testing.T, opts []redis.Option) {
		a, b := pair(t, r.url(), opts...)
		converse(t, a, b)
	})
}
