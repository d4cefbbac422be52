package main

import "example.org/circle/left"

func main() { left.Go() }
