package main

func helper() int { return 1 }

var answer = helper()
