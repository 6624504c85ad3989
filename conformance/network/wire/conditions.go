package wire

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Conditions are what a direction of a wire does to packets. Without any, packets are handed on at once.
//
// As text they are words like "delay=20ms jitter=2ms loss=1% duplicate=1% reorder=1% held-back=5ms
// rate=100Mbit queue=65536 partition", in any order.
type Conditions struct {
	// Delay is how long a packet is on the way, once it is on the line.
	Delay time.Duration
	// Jitter is how far from Delay the way may be, both ways. It changes slowly enough to leave packets in
	// their order, as queues on a real path do; see wander.
	Jitter time.Duration
	// Loss is the share of packets that get lost on the line, 0 to 1, each independently of the others.
	Loss float64
	// Duplicate is the share of packets that arrive twice.
	Duplicate float64
	// Reorder is the share of packets that are held back for HeldBack, while those behind them overtake them.
	Reorder  float64
	HeldBack time.Duration
	// Rate is how many bits of IP packets get on the line in a second; 0 is no limit.
	Rate int64
	// Queue is how many bytes of IP packets wait for the line at most if there is a Rate; what comes beyond is
	// dropped. 0 is what the rate takes 50 ms for, but at least ten full packets.
	Queue int
	// Partition drops everything, what is on the way too, and says so to nobody.
	Partition bool
}

// isOfPackets says that it matters what a packet is: otherwise those that the kernel has put together may stay so.
func (c *Conditions) isOfPackets() bool {
	return c.Loss > 0 || c.Duplicate > 0 || c.Reorder > 0 || c.Rate > 0
}

const (
	defaultQueueTime = 50 * time.Millisecond
	leastQueue       = 10 * largestPacket
)

// queue is the limit that holds.
func (c *Conditions) queue() int {
	if c.Queue > 0 {
		return c.Queue
	}
	return max(leastQueue, int(float64(c.Rate)/8*defaultQueueTime.Seconds()))
}

// Check says what is wrong with conditions.
func (c *Conditions) Check() error {
	var wrong []error
	for _, share := range []struct {
		name  string
		value float64
	}{{"loss", c.Loss}, {"duplicate", c.Duplicate}, {"reorder", c.Reorder}} {
		// In this form it is true of what is not a number, too.
		if !(share.value >= 0 && share.value <= 1) {
			wrong = append(wrong, fmt.Errorf("%s is %v: want 0 to 100%%", share.name, share.value))
		}
	}
	if c.Delay < 0 || c.HeldBack < 0 || c.Jitter < 0 {
		wrong = append(wrong, errors.New("no time can be negative"))
	}
	if c.Jitter > c.Delay {
		wrong = append(wrong, fmt.Errorf("the jitter of %s is more than the delay of %s", c.Jitter, c.Delay))
	}
	if c.Reorder > 0 && c.HeldBack == 0 {
		wrong = append(wrong, errors.New("reorder needs held-back: for how long"))
	}
	if c.Rate < 0 || c.Queue < 0 {
		wrong = append(wrong, errors.New("neither rate nor queue can be negative"))
	}
	return errors.Join(wrong...)
}

// Parse reads the text form.
func Parse(text string) (Conditions, error) {
	var c Conditions
	for _, word := range strings.Fields(text) {
		key, value, _ := strings.Cut(word, "=")
		if err := c.set(key, value); err != nil {
			return Conditions{}, fmt.Errorf("%q: %w", word, err)
		}
	}
	if err := c.Check(); err != nil {
		return Conditions{}, fmt.Errorf("%q: %w", text, err)
	}
	return c, nil
}

func (c *Conditions) set(key, value string) (err error) {
	switch key {
	case "delay":
		c.Delay, err = time.ParseDuration(value)
	case "jitter":
		c.Jitter, err = time.ParseDuration(value)
	case "held-back":
		c.HeldBack, err = time.ParseDuration(value)
	case "loss":
		c.Loss, err = parseShare(value)
	case "duplicate":
		c.Duplicate, err = parseShare(value)
	case "reorder":
		c.Reorder, err = parseShare(value)
	case "rate":
		c.Rate, err = parseRate(value)
	case "queue":
		c.Queue, err = strconv.Atoi(value)
	case "partition":
		c.Partition = true
		if value != "" {
			err = errors.New("partition has no value")
		}
	default:
		err = errors.New("there is no such condition")
	}
	return err
}

func parseShare(text string) (float64, error) {
	number, found := strings.CutSuffix(text, "%")
	if !found {
		return 0, errors.New("a share is a number with %")
	}
	value, err := strconv.ParseFloat(number, 64)
	return value / 100, err
}

// Units of rates, the longest first, because all of them end alike.
var units = []struct {
	name string
	bits float64
}{{"Gbit", 1e9}, {"Mbit", 1e6}, {"kbit", 1e3}, {"bit", 1}}

func parseRate(text string) (int64, error) {
	for _, unit := range units {
		if number, found := strings.CutSuffix(text, unit.name); found {
			value, err := strconv.ParseFloat(number, 64)
			return int64(value * unit.bits), err
		}
	}
	return 0, errors.New("a rate is a number with kbit, Mbit or Gbit")
}

// String is the text form.
func (c Conditions) String() string {
	var words []string
	add := func(present bool, key, value string) {
		if present {
			words = append(words, key+"="+value)
		}
	}
	share := func(value float64) string { return strconv.FormatFloat(value*100, 'g', 6, 64) + "%" }
	add(c.Delay > 0, "delay", c.Delay.String())
	add(c.Jitter > 0, "jitter", c.Jitter.String())
	add(c.Loss > 0, "loss", share(c.Loss))
	add(c.Duplicate > 0, "duplicate", share(c.Duplicate))
	add(c.Reorder > 0, "reorder", share(c.Reorder))
	add(c.HeldBack > 0, "held-back", c.HeldBack.String())
	add(c.Rate > 0, "rate", strconv.FormatFloat(float64(c.Rate)/1e6, 'f', -1, 64)+"Mbit")
	add(c.Queue > 0, "queue", strconv.Itoa(c.Queue))
	if c.Partition {
		words = append(words, "partition")
	}
	return strings.Join(words, " ")
}

// MarshalText is String, for JSON and YAML.
func (c Conditions) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText is Parse, for JSON and YAML.
func (c *Conditions) UnmarshalText(text []byte) (err error) {
	*c, err = Parse(string(text))
	return err
}
