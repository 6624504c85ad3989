package changes

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEveryStepCanBeTakenBack(t *testing.T) {
	for _, step := range steps {
		before, added, err := step.undo()
		require.NoError(t, err)
		require.NotEmpty(t, append(before, added...), step.file)
	}
	before, added, err := step{file: "endpoints"}.undo()
	require.NoError(t, err)
	require.Contains(t, string(before), "app: echo")
	require.NotContains(t, string(before), "version: v3")
	require.Empty(t, added)
	before, added, err = step{file: "listener"}.undo()
	require.NoError(t, err)
	require.Empty(t, before)
	require.Contains(t, string(added), "name: changes-port")
}

func TestWhichEndsAreAllowed(t *testing.T) {
	broken := errors.New("reset by peer")
	require.False(t, step{}.allows("http", errAnnounced))
	require.True(t, handOver.allows("http", errAnnounced))
	require.False(t, handOver.allows("http", broken), "a request that fails is lost")
	require.False(t, handOver.allows("new", broken))
	require.True(t, handOver.allows("tcp", broken), "it has no other end")
	require.False(t, stricter.allows("http", errAnnounced))
	require.True(t, stricter.allows("new-tls", broken))
}

func TestTakenEndsAreTakenOnce(t *testing.T) {
	s := &stream{kind: "tcp"}
	require.Error(t, allEnded([]*stream{s}, handOver))
	s.note(errors.New("closed"))
	require.NoError(t, allEnded([]*stream{s}, handOver))
	require.Equal(t, []string{"tcp: closed"}, problems([]*stream{s}, step{}))
	require.Empty(t, problems([]*stream{s}, step{}))
}
