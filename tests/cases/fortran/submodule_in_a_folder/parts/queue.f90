module queue
  implicit none
  interface
    module integer function length()
    end function length
  end interface
end module queue
