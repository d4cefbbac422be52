package main

func name() string { return "two" }
