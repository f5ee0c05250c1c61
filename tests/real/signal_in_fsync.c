/* For LD_PRELOAD: the signal SIGNAL_NUMBER comes to this process while fsync or fdatasync number SIGNAL_AT (from 1) is under way; the file
 * SIGNAL_MARK is made then. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static int count;

static int sync_and_signal(int descriptor, const char *name)
{
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);

    if (++count == atoi(getenv("SIGNAL_AT"))) {
        close(open(getenv("SIGNAL_MARK"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
        kill(getpid(), atoi(getenv("SIGNAL_NUMBER")));
    }
    return real(descriptor);
}

int fsync(int descriptor)
{
    return sync_and_signal(descriptor, "fsync");
}

int fdatasync(int descriptor)
{
    return sync_and_signal(descriptor, "fdatasync");
}
