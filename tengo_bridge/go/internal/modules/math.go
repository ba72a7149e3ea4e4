package modules

import (
	"fmt"

	"github.com/d5/tengo/v2"
)

// maxBesselOrder bounds the steps of math.jn and math.yn, which are as many as the order says.
const maxBesselOrder = 1_000_000

func mathModule(slot *Slot) map[string]tengo.Object {
	return libraryModule("math", slot, map[string]guard{"jn": checkOrder, "yn": checkOrder})
}

func checkOrder(_ *Run, args arguments) error {
	if order, err := args.compatibleInt(0); err == nil && len(args) == 2 && (order < -maxBesselOrder || order > maxBesselOrder) {
		return fmt.Errorf("the order must be from %d to %d", -maxBesselOrder, maxBesselOrder)
	}
	return nil
}
