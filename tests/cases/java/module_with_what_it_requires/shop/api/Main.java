package shop.api;

import java.util.logging.Logger;

public class Main {
    static final Logger LOG = Logger.getLogger("shop");
}
