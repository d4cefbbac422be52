package main

func main() {
	spare := 1
}
