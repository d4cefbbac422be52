module example.org/circle

go 1.17
