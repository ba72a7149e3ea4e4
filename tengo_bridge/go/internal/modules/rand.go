package modules

import (
	"errors"
	"maps"
	"math/rand"

	"github.com/d5/tengo/v2"
	"github.com/d5/tengo/v2/stdlib"
)

var (
	errBoundNotPositive = errors.New("rand.intn: the bound must be above zero")
	errNegativeSize     = errors.New("rand.perm: the size must not be negative")
)

// randModule is like Tengo's own, but each run has a generator of its own, so that a seed reaches no other run.
func randModule(slot *Slot) map[string]tengo.Object {
	members := generatorFunctions(slot, func() *rand.Rand { return slot.Run.random() })
	maps.Copy(members, functions(map[string]tengo.CallableFunc{
		"rand": func(args ...tengo.Object) (tengo.Object, error) { return newGenerator(slot, args) },
	}))
	return members
}

// random gives the run's generator, made when it is first needed as its seeding takes longer than many a program.
func (r *Run) random() *rand.Rand {
	if r.generator == nil {
		r.generator = rand.New(rand.NewSource(rand.Int63()))
	}
	return r.generator
}

func newGenerator(slot *Slot, args arguments) (tengo.Object, error) {
	if err := args.between(1, 1); err != nil {
		return nil, err
	}
	seed, err := args.integer(0, "seed")
	if err != nil {
		return nil, err
	}
	generator := rand.New(rand.NewSource(seed))
	return &tengo.ImmutableMap{Value: generatorFunctions(slot, func() *rand.Rand { return generator })}, nil
}

func generatorFunctions(slot *Slot, random func() *rand.Rand) map[string]tengo.Object {
	intn := stdlib.FuncAI64RI64(func(n int64) int64 { return random().Int63n(n) })
	perm := stdlib.FuncAIRIs(func(n int) []int { return random().Perm(n) })
	return functions(map[string]tengo.CallableFunc{
		"int":        stdlib.FuncARI64(func() int64 { return random().Int63() }),
		"float":      stdlib.FuncARF(func() float64 { return random().Float64() }),
		"exp_float":  stdlib.FuncARF(func() float64 { return random().ExpFloat64() }),
		"norm_float": stdlib.FuncARF(func() float64 { return random().NormFloat64() }),
		"seed":       stdlib.FuncAI64R(func(seed int64) { random().Seed(seed) }),
		"intn":       guarded(slot, checkBound, intn),
		"perm":       guarded(slot, checkSize, perm),
		"read":       stdlib.FuncAYRIE(func(target []byte) (int, error) { return random().Read(target) }),
	})
}

func checkBound(_ *Run, args arguments) error {
	if bound, err := args.compatibleInt(0); err == nil && len(args) == 1 && bound < 1 {
		return errBoundNotPositive
	}
	return nil
}

func checkSize(r *Run, args arguments) error {
	size, err := args.compatibleInt(0)
	if err != nil || len(args) != 1 {
		return nil
	}
	if size < 0 {
		return errNegativeSize
	}
	return r.fits(size)
}
