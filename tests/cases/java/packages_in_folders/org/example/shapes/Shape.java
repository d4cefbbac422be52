package org.example.shapes;

public interface Shape {
    double area();
}
