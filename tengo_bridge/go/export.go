// Package main is libtengo.so: the functions that the ctypes wrapper in tengo_bridge/library.py calls.
package main

import "C"

import (
	"fmt"
	"net"
	"os"
	"runtime/debug"

	_ "time/tzdata" // so that programs know the time zones on machines that have no data of them

	"selfhost/libtengo/internal/engine"
)

const (
	// maxStackBytes makes endless recursion in Go, which nothing but the end of the process can stop, end soon.
	maxStackBytes = 32 << 20
	gcPercent     = 200
)

// What tengo_serve returns.
const (
	streamEnded   = 0
	streamRefused = 1
	noSocket      = 2
)

//export tengo_abi_version
func tengo_abi_version() C.int {
	return engine.ABI
}

// tengo_serve answers the frames on a stream socket, which it owns from then on, until the other end is closed.
//
//export tengo_serve
func tengo_serve(fd C.int) C.int {
	debug.SetMaxStack(maxStackBytes)
	debug.SetGCPercent(gcPercent)
	connection, err := connectionOf(int(fd))
	if err != nil {
		fmt.Fprintf(os.Stderr, "libtengo: descriptor %d is no stream socket: %v\n", fd, err)
		return noSocket
	}
	if err := engine.Serve(connection); err != nil {
		fmt.Fprintf(os.Stderr, "libtengo: the worker's stream is refused: %v\n", err)
		return streamRefused
	}
	return streamEnded
}

func connectionOf(fd int) (net.Conn, error) {
	file := os.NewFile(uintptr(fd), "worker")
	if file == nil {
		return nil, os.ErrInvalid
	}
	defer file.Close() // the connection has a descriptor of its own
	return net.FileConn(file)
}

func main() {}
