package adapter_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/adaptertest"
)

// TestJoinPartial holds that one fleet that fails does not keep the answers of
// the other back.
func TestJoinPartial(t *testing.T) {
	one, two := adaptertest.NewBus(), adaptertest.NewBus()
	x := startJoined(t, "x", adapter.Join(adapter.Named("one", one.Backend()), adapter.Named("two", two.Backend())))
	in, is := startJoined(t, "in", one.Backend()), startJoined(t, "is", two.Backend())
	until(t, "all are counted", func() bool { n, err := x.ServerCount(t.Context()); return err == nil && n == 3 })
	is.socket.Answer(nil)
	two.Cut(is.name)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	packets, err := x.BroadcastWithAck(ctx, argument("q"), adapter.Selector{}, adapter.Flags{})
	missing := (*adapter.MissingAnswersError)(nil)
	if got := texts(packets); !slices.Equal(got, []string{`["in"]`, `["x"]`}) || !errors.As(err, &missing) || missing.Received != 2 || missing.Expected != 3 {
		t.Errorf("%q answered, %v", got, err)
	}
	// Whoever answers for one socket is the only one, whatever else fails.
	id := "AAAAAAAAAAAAAAAAAAAA"
	in.Add(in.socket, id)
	packets, err = x.BroadcastWithAck(t.Context(), argument("q"), adapter.Selector{Rooms: []string{id}}, adapter.Flags{})
	if got := texts(packets); !slices.Equal(got, []string{`["in"]`}) || err != nil {
		t.Errorf("one socket: %q answered, %v", got, err)
	}
	infos, err := x.FetchSockets(ctx, adapter.Selector{})
	if !errors.Is(err, context.DeadlineExceeded) || infos != nil {
		t.Errorf("with a context that has ended: %v, %v", infos, err)
	}
}

// TestJoinPartialLists holds that calls return what one fleet answers when a node
// of another one does not.
func TestJoinPartialLists(t *testing.T) {
	one, two := adaptertest.NewBus(), adaptertest.NewBus()
	x := startJoined(t, "x", adapter.Join(adapter.Named("one", one.Backend()), adapter.Named("two", two.Backend())))
	in, is := startJoined(t, "in", one.Backend()), startJoined(t, "is", two.Backend())
	until(t, "all are counted", func() bool { n, err := x.ServerCount(t.Context()); return err == nil && n == 3 })
	in.Add(in.socket, "room of in")
	two.Cut(is.name)
	for name, tt := range map[string]struct {
		call func(context.Context) ([]string, error)
		want []string
	}{
		"FetchSockets": {func(ctx context.Context) ([]string, error) {
			infos, err := x.FetchSockets(ctx, adapter.Selector{})
			var ids []string
			for _, info := range infos {
				ids = append(ids, info.ID)
			}
			return ids, err
		}, []string{"in", "x"}},
		"Rooms": {x.Rooms, []string{"room", "room of in"}},
		"ServerSideEmitWithAck": {func(ctx context.Context) ([]string, error) {
			packets, err := x.ServerSideEmitWithAck(ctx, argument("q"))
			return texts(packets), err
		}, []string{`["in"]`}},
	} {
		var got []string
		for timeout := 100 * time.Millisecond; !slices.Equal(got, tt.want) && timeout < 5*time.Second; timeout *= 3 {
			ctx, cancel := context.WithTimeout(t.Context(), timeout)
			var err error
			got, err = tt.call(ctx)
			cancel()
			slices.Sort(got)
			if missing := (*adapter.MissingAnswersError)(nil); !errors.As(err, &missing) || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: %v, want a MissingAnswersError", name, err)
			}
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}
