#line 100 "grammar.y"
int value = undeclared;
