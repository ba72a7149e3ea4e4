package modules

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/d5/tengo/v2"
)

const maxTimeText = 4 << 10

// timesModule is Tengo's own, but for a sleep that ends with the run.
func timesModule(slot *Slot) map[string]tengo.Object {
	members := libraryModule("times", slot, map[string]guard{
		"parse_duration": checkTimeTexts,
		"parse":          checkTimeTexts,
		"time_format":    checkTimeTexts,
		"in_location":    checkTimeTexts,
		"date":           checkTimeTexts,
	})
	maps.Copy(members, functions(map[string]tengo.CallableFunc{
		"sleep": func(args ...tengo.Object) (tengo.Object, error) { return nil, sleep(slot.Run.Context, args) },
	}))
	return members
}

// checkTimeTexts keeps texts that are no layout and no time from becoming, quoted over and over, the text of an error.
func checkTimeTexts(_ *Run, args arguments) error {
	for i := range args {
		if text, err := args.content(i, ""); err == nil && len(text) > maxTimeText {
			return fmt.Errorf("the text of a time, a layout or a place may have %d bytes", maxTimeText)
		}
	}
	return nil
}

func sleep(ctx context.Context, args arguments) error {
	if err := args.between(1, 1); err != nil {
		return err
	}
	nanoseconds, err := args.integer(0, "duration")
	if err != nil {
		return err
	}
	timer := time.NewTimer(time.Duration(nanoseconds))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
