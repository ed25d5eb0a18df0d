@echo off
rem Set up hotmic in .venv beside this file and start it.
rem
rem   start_realtime_asr.bat                    start the daemon
rem   start_realtime_asr.bat --full             the same with every extra of requirements_realtime.txt
rem   start_realtime_asr.bat demo               any other command of hotmic: demo, transcribe, check, models, pull
rem   start_realtime_asr.bat --model small      flags go to 'hotmic serve'
setlocal EnableExtensions
cd /d "%~dp0"

set "FULL="
set "ARGS=%*"
if /i "%~1"=="--full" (
    set "FULL=yes"
    call :drop_first %*
)

if not exist ".venv\Scripts\python.exe" (
    call :find_python
    if errorlevel 1 goto failed
)
if not exist ".venv\Scripts\python.exe" (
    %PYTHON% -m venv .venv
    if errorlevel 1 goto failed
)

if defined FULL (
    echo Installing everything into .venv, this takes a while ...
    ".venv\Scripts\python.exe" -m pip install -q --disable-pip-version-check -r requirements_realtime.txt
    if errorlevel 1 goto failed
)
if not exist ".venv\Scripts\hotmic.exe" (
    echo Installing hotmic into .venv, a minute or two the first time ...
    ".venv\Scripts\python.exe" -m pip install -q --disable-pip-version-check -e .
    if errorlevel 1 goto failed
)

set "COMMAND=serve"
for %%C in (serve demo transcribe models pull check --help --version) do call :is_command %%C %ARGS%
if defined COMMAND (
    ".venv\Scripts\hotmic.exe" %COMMAND% %ARGS%
) else (
    ".venv\Scripts\hotmic.exe" %ARGS%
)
if errorlevel 1 goto failed
exit /b 0

:find_python
for %%P in ("py -3" "python" "python3") do (
    %%~P -c "import sys; sys.exit(sys.version_info < (3, 11))" >nul 2>&1
    if not errorlevel 1 (
        set "PYTHON=%%~P"
        exit /b 0
    )
)
echo hotmic needs Python 3.11 or newer, and none was found. Get it from python.org and tick "Add python.exe to PATH".
exit /b 1

:is_command
if /i "%~1"=="%~2" set "COMMAND="
exit /b 0

:drop_first
set "ARGS="
:drop_next
shift
if "%~1"=="" exit /b 0
set "ARGS=%ARGS% %1"
goto drop_next

:failed
echo.
echo hotmic could not be started; the lines above say why.
pause
exit /b 1
