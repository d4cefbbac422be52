package main

func name() string { return "name" }
