package wire

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTextOfConditions(t *testing.T) {
	for text, wanted := range map[string]Conditions{
		"":                                 {},
		"delay=20ms jitter=2.5ms":          {Delay: 20 * time.Millisecond, Jitter: 2500 * time.Microsecond},
		"loss=1.5% duplicate=100%":         {Loss: 0.015, Duplicate: 1},
		"reorder=1% held-back=5ms":         {Reorder: 0.01, HeldBack: 5 * time.Millisecond},
		"rate=100Mbit queue=65536":         {Rate: 1e8, Queue: 65536},
		"rate=0.5Mbit partition":           {Rate: 5e5, Partition: true},
		"delay=1s loss=0.001% rate=64Mbit": {Delay: time.Second, Loss: 0.00001, Rate: 64e6},
	} {
		parsed, err := Parse(text)
		require.NoError(t, err, text)
		require.InDelta(t, wanted.Loss, parsed.Loss, 1e-12, text)
		parsed.Loss = wanted.Loss
		require.Equal(t, wanted, parsed, text)
		data, err := json.Marshal(parsed)
		require.NoError(t, err, text)
		var again Conditions
		require.NoError(t, json.Unmarshal(data, &again), text)
		require.Equal(t, wanted.String(), again.String(), text)
	}
	for _, text := range []string{
		"delay", "delay=20", "loss=1", "loss=101%", "loss=-1%", "loss=NaN%", "jitter=1ms", "reorder=1%", "rate=1", "rate=-1Mbit", "queue=-1", "partition=1", "speed=1",
	} {
		_, err := Parse(text)
		require.Error(t, err, text)
	}
}
