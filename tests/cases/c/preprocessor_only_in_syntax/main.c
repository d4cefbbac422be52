#define TWICE(value) ((value) * 2)
int four(int value) {
    return TWICE(valeu);
}
