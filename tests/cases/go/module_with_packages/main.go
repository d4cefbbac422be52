package main

import "example.org/shop/internal/price"

func main() { println(price.WithTax(100)) }
