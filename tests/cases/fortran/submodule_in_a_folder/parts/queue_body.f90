submodule (queue) queue_body
contains
  module procedure length
    length = 0
  end procedure length
end submodule queue_body
