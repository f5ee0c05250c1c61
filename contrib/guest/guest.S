# The test guest: a boot sector that does nothing but answer PCI unplug requests.
#
# QEMU puts the ACPI PCI hot-plug registers (docs/specs/acpi_pci_hotplug.rst in its source) at I/O port 0xae00 on
# i440fx and 0x0cc0 on q35:
#     +0x04  read:  one bit for each slot of the selected bus whose device is asked to go
#     +0x08  write: let the devices of these slots go
#     +0x10  write: select a bus
# At each tick of the BIOS timer (18.2 Hz) the guest looks at every bus and lets go of what is asked for.
#
# COM1 says READY once it runs, and takes one-byte orders, each echoed once it holds:
#     h  hold on: let nothing go        a  acknowledge again
# A reset starts it anew in the mode written into the image: the last bytes before the signature.

        .set    ports_i440fx, 0xae00
        .set    ports_q35, 0x0cc0
        .set    down, 0x04
        .set    eject, 0x08
        .set    select, 0x10
        .set    buses, 40
        .set    com1, 0x3f8
        .set    ticks_today, 0x046c             # BIOS data area: the timer's count

        .code16
        .globl  _start
_start:
        ljmp    $0, $begin                      # some BIOSes come in as 0x07c0:0
begin:
        xor     %ax, %ax
        mov     %ax, %ds
        mov     %ax, %ss
        mov     $_start, %sp
        cld

        mov     $com1 + 3, %dx                  # 115200 baud: divisor 1, then 8N1, no interrupts
        mov     $0x80, %al
        out     %al, %dx
        mov     $com1, %dx
        mov     $1, %al
        out     %al, %dx
        inc     %dx
        mov     $0, %al
        out     %al, %dx
        inc     %dx
        inc     %dx
        mov     $3, %al
        out     %al, %dx

        mov     $ports_i440fx, %bp              # which machine: the host bridge's vendor and device
        mov     $0xcf8, %dx
        mov     $0x80000000, %eax
        out     %eax, %dx
        mov     $0xcfc, %dx
        in      %dx, %eax
        cmp     $0x12378086, %eax
        je      1f
        mov     $ports_q35, %bp
1:
        mov     $ready, %si
2:      lodsb
        call    say
        cmp     $'\n', %al
        jne     2b

tick:
        sti
        hlt
        mov     $com1 + 5, %dx                  # an order?
        in      %dx, %al
        test    $1, %al
        jz      look
        mov     $com1, %dx
        in      %dx, %al
        mov     %al, mode
        call    say
look:
        xor     %bl, %bl                        # whether anything is asked for in this round
        xor     %ecx, %ecx
bus:
        mov     %bp, %dx
        add     $select, %dx
        mov     %ecx, %eax
        out     %eax, %dx
        sub     $select - down, %dx
slots:
        in      %dx, %eax
        test    %eax, %eax
        jz      next
        inc     %bl

        mov     ticks_today, %edi               # the wait starts with the first request seen
        cmpb    $0, waiting
        jne     3f
        incb    waiting
        mov     %edi, since
3:      cmpb    $'h', mode
        je      next
        sub     since, %edi
        movzwl  delay, %esi
        cmp     %esi, %edi
        jb      next
        add     $eject - down, %dx              # QEMU ejects the lowest slot only: look again
        out     %eax, %dx
        sub     $eject - down, %dx
        jmp     slots
next:
        inc     %cx
        cmp     $buses, %cx
        jb      bus
        test    %bl, %bl
        jnz     tick
        mov     %bl, waiting
        jmp     tick

say:                                            # %al to COM1; keeps everything but %dx
        push    %ax
        mov     $com1 + 5, %dx
4:      in      %dx, %al
        test    $0x20, %al
        jz      4b
        pop     %ax
        mov     $com1, %dx
        out     %al, %dx
        ret

ready:  .ascii  "READY\n"
waiting:
        .byte   0
since:  .long   0

        .org    _start + 507
mode:   .byte   'a'                             # 507: the mode it starts in
delay:  .word   0                               # 508: ticks between a request and its acknowledgement
        .word   0xaa55
