struct size { int width; int height; };
int area(struct size *size) { return (*size).widht * size->height; }
