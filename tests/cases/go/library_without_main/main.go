// Package shapes has areas.
package shapes

// Square is the area of a square.
func Square(side float64) float64 { return side * side }
