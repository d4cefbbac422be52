class Thing { public: int value; };
