package main

var broken int = "text"
