package modules

import (
	"errors"
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
	members := generatorFunctions(func() *rand.Rand { return slot.Run.random() })
	members["rand"] = &tengo.UserFunction{Name: "rand", Value: newGenerator}
	return members
}

// random gives the run's generator, made when it is first needed as its seeding takes longer than many a program.
func (r *Run) random() *rand.Rand {
	if r.generator == nil {
		r.generator = rand.New(rand.NewSource(rand.Int63()))
	}
	return r.generator
}

func newGenerator(args ...tengo.Object) (tengo.Object, error) {
	if err := arguments(args).between(1, 1); err != nil {
		return nil, err
	}
	seed, err := arguments(args).integer(0, "seed")
	if err != nil {
		return nil, err
	}
	generator := rand.New(rand.NewSource(seed))
	return &tengo.ImmutableMap{Value: generatorFunctions(func() *rand.Rand { return generator })}, nil
}

func generatorFunctions(random func() *rand.Rand) map[string]tengo.Object {
	return functions(map[string]tengo.CallableFunc{
		"int":        stdlib.FuncARI64(func() int64 { return random().Int63() }),
		"float":      stdlib.FuncARF(func() float64 { return random().Float64() }),
		"exp_float":  stdlib.FuncARF(func() float64 { return random().ExpFloat64() }),
		"norm_float": stdlib.FuncARF(func() float64 { return random().NormFloat64() }),
		"seed":       stdlib.FuncAI64R(func(seed int64) { random().Seed(seed) }),
		"intn":       checked(errBoundNotPositive, 1, stdlib.FuncAI64RI64(func(n int64) int64 { return random().Int63n(n) })),
		"perm":       checked(errNegativeSize, 0, stdlib.FuncAIRIs(func(n int) []int { return random().Perm(n) })),
		"read":       stdlib.FuncAYRIE(func(target []byte) (int, error) { return random().Read(target) }),
	})
}

// checked keeps an argument below the least from a function that would panic on it.
func checked(tooSmall error, least int64, function tengo.CallableFunc) tengo.CallableFunc {
	return func(args ...tengo.Object) (tengo.Object, error) {
		if len(args) == 1 {
			if n, ok := tengo.ToInt64(args[0]); ok && n < least {
				return nil, tooSmall
			}
		}
		return function(args...)
	}
}
