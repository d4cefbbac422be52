package main

func name() string { return "one" }

func main() { println(name()) }
