package main

func first[T any](values []T) T { return values[0] }

func main() { println(first([]int{1})) }
