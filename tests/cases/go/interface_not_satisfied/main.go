package main

import "io"

type file struct{}

func main() {
	var closer io.Closer = file{}
	_ = closer
}
