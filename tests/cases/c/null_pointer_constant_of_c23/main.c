int *nothing = nullptr;
