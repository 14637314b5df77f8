package redis

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// ioTimeout is how long a client of our own waits for Redis: to connect, and
// for each write and reply. A hung Redis is noticed after that.
const ioTimeout = 2 * time.Second

// dial makes a client from a URL. It does no network I/O.
func dial(rawURL string, config *tls.Config) (goredis.UniversalClient, error) {
	client, err := parseURL(rawURL, config)
	if err != nil {
		// The text of a *url.Error repeats the URL, with its password.
		if parseErr := (*url.Error)(nil); errors.As(err, &parseErr) {
			err = parseErr.Err
		}
		return nil, fmt.Errorf("%w: URL: %v", ErrConfig, err)
	}
	return client, nil
}

func parseURL(rawURL string, config *tls.Config) (goredis.UniversalClient, error) {
	rawURL, kind, err := plainURL(rawURL)
	if err != nil {
		return nil, err
	}
	switch kind {
	case "sentinel":
		opt, err := goredis.ParseFailoverURL(rawURL)
		if err != nil {
			return nil, err
		}
		if opt.MasterName == "" {
			return nil, errors.New("the master is not named")
		}
		if opt.RouteByLatency || opt.RouteRandomly || opt.ReplicaOnly {
			return nil, errors.New("replicas are not for publishing")
		}
		err = settings{
			[]*time.Duration{&opt.DialTimeout, &opt.ReadTimeout, &opt.WriteTimeout}, &opt.MaxRetries, &opt.DialerRetries,
			&opt.ContextTimeoutEnabled, &opt.DisableIdentity, &opt.TLSConfig,
		}.set(config)
		if err != nil {
			return nil, err
		}
		return goredis.NewFailoverClient(opt), nil
	case "cluster":
		opt, err := goredis.ParseClusterURL(rawURL)
		if err != nil {
			return nil, err
		}
		err = settings{
			[]*time.Duration{&opt.DialTimeout, &opt.ReadTimeout, &opt.WriteTimeout}, &opt.MaxRetries, &opt.DialerRetries,
			&opt.ContextTimeoutEnabled, &opt.DisableIdentity, &opt.TLSConfig,
		}.set(config)
		if err != nil {
			return nil, err
		}
		opt.MaintNotificationsConfig = noMaintenance()
		return goredis.NewClusterClient(opt), nil
	}
	opt, err := goredis.ParseURL(rawURL)
	if err != nil {
		return nil, err
	}
	err = settings{
		[]*time.Duration{&opt.DialTimeout, &opt.ReadTimeout, &opt.WriteTimeout}, &opt.MaxRetries, &opt.DialerRetries,
		&opt.ContextTimeoutEnabled, &opt.DisableIdentity, &opt.TLSConfig,
	}.set(config)
	if err != nil {
		return nil, err
	}
	opt.MaintNotificationsConfig = noMaintenance()
	return goredis.NewClient(opt), nil
}

// settings are those that every kind of client has.
type settings struct {
	timeouts             []*time.Duration
	maxRetries, attempts *int
	contexts, anonymous  *bool
	tls                  **tls.Config
}

// set makes a client as the back-end needs it.
func (s settings) set(config *tls.Config) (err error) {
	for _, timeout := range s.timeouts {
		if *timeout == 0 {
			*timeout = ioTimeout
		}
	}
	// Retries are ours: the client's would stretch every failure.
	*s.maxRetries, *s.attempts = -1, 1
	*s.contexts = true
	*s.anonymous = true // or it would need the right to CLIENT SETINFO
	*s.tls, err = withTLS(*s.tls, config)
	return err
}

func noMaintenance() *maintnotifications.Config {
	return &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
}

// withTLS returns the configuration for a URL, whose own is nil without TLS.
// The name of the server is left to each connection: there may be several.
func withTLS(own, chosen *tls.Config) (*tls.Config, error) {
	switch {
	case own == nil && chosen != nil:
		return nil, errors.New("WithTLS is for rediss")
	case own == nil:
		return nil, nil
	case chosen != nil:
		return chosen.Clone(), nil
	}
	own.ServerName = ""
	return own, nil
}

// plainURL returns the form of a URL that the client has a parser for, and the
// kind of parser: "sentinel", "cluster", or "" for one server.
func plainURL(rawURL string) (plain, kind string, err error) {
	scheme, rest, ok := strings.Cut(rawURL, "://")
	if !ok {
		return "", "", errors.New("it has no scheme")
	}
	base, kind, several := strings.Cut(scheme, "+")
	rest, query, _ := strings.Cut(rest, "?")
	values, err := url.ParseQuery(query)
	if err != nil {
		return "", "", errors.New("the query cannot be read")
	}
	if !several {
		switch {
		case values.Has("master_name"):
			kind = "sentinel"
		case values.Has("addr"):
			kind = "cluster"
		}
		return rawURL, kind, nil
	}
	hosts, path, _ := strings.Cut(rest, "/")
	port := "6379"
	switch kind {
	case "cluster":
	case "sentinel":
		port = "26379"
		master, db, _ := strings.Cut(path, "/")
		if master, err = url.PathUnescape(master); err != nil {
			return "", "", errors.New("the name of the master cannot be read")
		}
		if master != "" {
			values.Set("master_name", master)
		}
		path = db
	default:
		return "", "", fmt.Errorf("unknown scheme %q", scheme)
	}
	user := ""
	if i := strings.LastIndexByte(hosts, '@'); i >= 0 {
		user, hosts = hosts[:i+1], hosts[i+1:]
	}
	addrs := strings.Split(hosts, ",")
	for i, addr := range addrs {
		if _, _, err := net.SplitHostPort(addr); err != nil {
			addrs[i] = net.JoinHostPort(strings.Trim(addr, "[]"), port)
		}
		if i > 0 {
			values.Add("addr", addrs[i])
		}
	}
	return base + "://" + user + addrs[0] + "/" + path + "?" + values.Encode(), kind, nil
}
