package modules

import (
	"fmt"
	"maps"

	"github.com/d5/tengo/v2"
	"github.com/d5/tengo/v2/stdlib"
)

// maxBesselOrder bounds the steps of math.jn and math.yn, which are as many as the order says.
const maxBesselOrder = 1_000_000

// mathModule is Tengo's own, taken as it is but for two functions: no other can make anything large.
func mathModule(slot *Slot) map[string]tengo.Object {
	members := maps.Clone(stdlib.BuiltinModules["math"])
	for _, name := range []string{"jn", "yn"} {
		function := members[name].(*tengo.UserFunction)
		members[name] = &tengo.UserFunction{Name: name, Value: guarded(slot, checkOrder, function.Value)}
	}
	return members
}

func checkOrder(_ *Run, args arguments) error {
	if order, err := args.compatibleInt(0); err == nil && len(args) == 2 && (order < -maxBesselOrder || order > maxBesselOrder) {
		return fmt.Errorf("the order must be from %d to %d", -maxBesselOrder, maxBesselOrder)
	}
	return nil
}
