package main

import "example.org/elsewhere"

func main() { elsewhere.Run() }
