package modules

import (
	"context"
	"maps"
	"time"

	"github.com/d5/tengo/v2"
	"github.com/d5/tengo/v2/stdlib"
)

// timesModule is Tengo's own, but for a sleep that ends with the run.
func timesModule(slot *Slot) map[string]tengo.Object {
	members := maps.Clone(stdlib.BuiltinModules["times"])
	maps.Copy(members, functions(map[string]tengo.CallableFunc{
		"sleep": func(args ...tengo.Object) (tengo.Object, error) { return nil, sleep(slot.Run.Context, args) },
	}))
	return members
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
